//! What runs keep in `.xtask`, damaged.

use std::fs;
use std::path::Path;

use super::small;

/// Every file below `folder`, changed by `damage`.
fn damage(folder: &Path, damage: &dyn Fn(&mut Vec<u8>)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            self::damage(&path, damage);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn any_damage_is_mended_by_the_next_deploy() {
    let project = small();
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
    type Damage = dyn Fn(&mut Vec<u8>);
    let damages: [(&str, &Damage); 4] = [
        ("emptied", &|bytes| bytes.clear()),
        ("cut short", &|bytes| bytes.truncate(bytes.len() / 2)),
        ("one bit", &|bytes| {
            let middle = bytes.len() / 2;
            bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
        }),
        ("overwritten", &|bytes| bytes.iter_mut().for_each(|byte| *byte = 0xa5)),
    ];
    for (how, what) in damages {
        eprintln!("{how}");
        damage(&project.path(".xtask"), what);
        // A change at the same time: no remembered digest may hide it.
        project.write("app/page.html", &format!("<p>{how}</p>\n"));
        let ran = project.run(&["deploy"]).expect_success();
        assert!(ran.done().contains(&"image:app"), "{:?}", ran.done());
        project.run(&["deploy"]).expect_all_fresh();
    }
    fs::remove_dir_all(project.path(".xtask")).unwrap();
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

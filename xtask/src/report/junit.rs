//! A pipeline's run as JUnit XML, the form of test results that every CI service reads.
//!
//! What had not ended when the report was written is an error, what had not begun is skipped: a report that a killed run
//! has left neither breaks its readers nor looks like success.

use engine::failure::Failure;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::failure;
use super::pipeline::{Case, Fate, Pages, State};

/// The document.
///
/// # Errors
/// When it cannot be written as XML.
pub fn document(pages: &Pages) -> Result<String, Failure> {
    let mut report = Report::new(pages.project.as_str());
    report.set_time(pages.took);
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in &pages.cases {
        let named = suites.iter_mut().find(|suite| suite.name.as_str() == case.suite);
        let suite = match named {
            Some(suite) => suite,
            None => {
                suites.push(TestSuite::new(case.suite));
                let Some(suite) = suites.last_mut() else { continue };
                suite
            }
        };
        suite.add_test_case(test_case(pages, case));
    }
    for mut suite in suites {
        suite
            .set_time(pages.cases.iter().filter(|case| case.suite == suite.name.as_str()).filter_map(|c| c.took).sum());
        suite.add_property(("run", pages.run.as_str()));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| Failure::environment("could not write the JUnit report").because(error))
}

fn test_case(pages: &Pages, case: &Case) -> TestCase {
    let status = match &case.fate {
        Fate::Passed(_) => TestCaseStatus::success(),
        Fate::Waiting => skipped("it had not begun when this was written"),
        Fate::Skipped(why) => skipped(why),
        Fate::Running(_) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            let why = match pages.state {
                State::Running => "it had not ended when this was written: the run goes on, or was killed",
                _ => "the run ended before it did",
            };
            status.set_message(why);
            status
        }
        Fate::Failed(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(failure.message.as_str());
            status.set_description(anstream::adapter::strip_str(&failure::render(failure)).to_string());
            status
        }
    };
    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(format!("{}.{}", pages.project, case.suite));
    if let Some(took) = case.took {
        test.set_time(took);
    }
    if let Fate::Passed(summary) = &case.fate
        && !summary.is_empty()
    {
        test.set_system_out(summary.as_str());
    }
    test
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use engine::failure::Failure;
    use quick_junit::Report;

    use super::document;
    use crate::report::pipeline::{Case, Fate, Pages, State};

    fn pages(fates: Vec<Fate>) -> Pages {
        let case = |(number, fate): (usize, Fate)| Case {
            suite: if number == 0 { "commands" } else { "deploy" },
            name: format!("case {number}"),
            fate,
            took: Some(Duration::from_millis(1500)),
        };
        Pages {
            run: "ci-1-2".to_owned(),
            project: "shop".to_owned(),
            began: "2026-01-01T00:00:00Z".to_owned(),
            state: State::Running,
            took: Duration::from_secs(3),
            cases: fates.into_iter().enumerate().map(case).collect(),
        }
    }

    #[test]
    fn every_fate_has_its_place_and_any_text_leaves_the_document_whole() {
        let wild = "a < b & \"c\" ]]> \u{1b}[31mred\u{1b}[0m \u{0} \u{7} ü";
        let failure = Failure::step(wild).because(wild).excerpt("Dockerfile:3", vec![wild.to_owned()]);
        let text = document(&pages(vec![
            Fate::Passed(wild.to_owned()),
            Fate::Failed(Box::new(failure)),
            Fate::Running(Instant::now()),
            Fate::Waiting,
            Fate::Skipped("image:app failed".to_owned()),
        ]))
        .unwrap();
        let report = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((report.tests, report.failures, report.errors), (5, 1, 1), "{text}");
        let suites: Vec<_> = report.test_suites.iter().map(|suite| (suite.name.as_str(), suite.tests)).collect();
        assert_eq!(suites, [("commands", 1), ("deploy", 4)]);
        assert_eq!(report.test_suites[1].skipped, 2, "what has not run is skipped: {text}");
        assert!(text.contains("the run goes on, or was killed"), "{text}");
    }

    #[test]
    fn a_run_that_has_only_begun_has_a_document() {
        let text = document(&pages(Vec::new())).unwrap();
        assert_eq!(Report::deserialize_from_str(&text).unwrap().tests, 0);
    }
}

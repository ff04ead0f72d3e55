//! The stat cache's file: a [`Tree`] and what was concluded from it, laid out so that it can be checked against the
//! disk without being taken apart.
//!
//! All numbers are little-endian. A file from another version, a truncated or a damaged one reads as none at all.
//!
//! | part | what is in it |
//! | --- | --- |
//! | header | magic with version, checksum of all that follows it, length, the conclusions, how many of each part |
//! | directories | 64 bytes each: stamp, flags, where its path is, its first file |
//! | files | 48 bytes each: stamp, flags, where its name is; a directory's files lie together, sorted |
//! | digests | 32 bytes for each file |
//! | text | paths, names (a symlink's target behind its name), and the globs that matched nothing |

use super::file_set::{Counts, FileSet};
use super::tree::{Content, Directory, File, Stamp, Tree, join};
use crate::digest::{Digest, Hasher};

/// The last character is the version of the layout, and of what is concluded from it.
const MAGIC: [u8; 8] = *b"xtfiles1";

// Where things are in the header.
const SUM: usize = 8;
const LENGTH: usize = 16;
const RULES: usize = 24;
const SET: usize = 56;
const COUNTS: [usize; 3] = [88, 96, 104];
const DIRECTORIES: usize = 112;
const FILES: usize = 120;
const UNMATCHED: usize = 128;
const LISTS_PARENTS: usize = 136;

// How long the header and each record are.
const HEADER: usize = 144;
const DIRECTORY: usize = 64;
const FILE: usize = 48;
const DIGEST: usize = 32;

const FRESH: u16 = 1;
const WANTED: u16 = 2;

/// A tree as it is stored, with the digest of its file set.
#[derive(Debug)]
pub(super) struct Snapshot {
    bytes: Vec<u8>,
    directories: usize,
    files: usize,
}

/// A directory in a snapshot.
pub(super) struct DirectoryRecord<'a> {
    pub(super) path: &'a [u8],
    pub(super) stamp: Stamp,
    pub(super) fresh: bool,
    pub(super) wanted: bool,
}

/// A file in a snapshot; the stamp's device is its directory's.
pub(super) struct FileRecord<'a> {
    pub(super) name: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) stamp: Stamp,
    pub(super) fresh: bool,
}

impl Snapshot {
    /// Lays out `tree`, the file set that was made of it by rules with the digest `rules`, and the globs that matched
    /// nothing. `None` when it is too big for 32-bit offsets.
    pub(super) fn new(tree: &Tree, set: &FileSet, rules: &Digest, unmatched: &[String]) -> Option<Self> {
        let files: usize = tree.directories.iter().map(|directory| directory.files.len()).sum();
        let records = HEADER + tree.directories.len() * DIRECTORY + files * (FILE + DIGEST);
        let mut bytes = Vec::with_capacity(records + files * 24);
        bytes.resize(HEADER, 0);
        let mut text = Vec::with_capacity(files * 24);
        let mut first_file = 0_u32;
        for directory in &tree.directories {
            let Stamp { device, inode, mode, size, mtime, ctime } = directory.stamp;
            put64(&mut bytes, &[device, inode, size, mtime.cast_unsigned(), ctime.cast_unsigned()]);
            let at = u32::try_from(text.len()).ok()?;
            put32(&mut bytes, &[at, u32::try_from(directory.path.len()).ok()?, first_file]);
            let flags = if directory.fresh { FRESH } else { 0 } | if directory.wanted { WANTED } else { 0 };
            put16(&mut bytes, &[mode, flags]);
            bytes.resize(bytes.len() + 8, 0);
            text.extend(directory.path.as_bytes());
            first_file = first_file.checked_add(u32::try_from(directory.files.len()).ok()?)?;
        }
        for file in tree.directories.iter().flat_map(|directory| &directory.files) {
            let Stamp { inode, mode, size, mtime, ctime, .. } = file.stamp;
            put64(&mut bytes, &[inode, size, mtime.cast_unsigned(), ctime.cast_unsigned()]);
            put32(&mut bytes, &[u32::try_from(text.len()).ok()?, 0]);
            let target = if let Content::Symlink(target) = &file.content { target } else { "" };
            let lengths = [u16::try_from(file.name.len()).ok()?, u16::try_from(target.len()).ok()?];
            put16(&mut bytes, &lengths);
            put16(&mut bytes, &[mode, if file.fresh { FRESH } else { 0 }]);
            text.extend(file.name.as_bytes());
            text.extend(target.as_bytes());
        }
        for file in tree.directories.iter().flat_map(|directory| &directory.files) {
            match &file.content {
                Content::File(digest) => bytes.extend(digest.as_bytes()),
                Content::Symlink(_) => bytes.extend([0; DIGEST]),
                Content::Unread => return None,
            }
        }
        let unmatched = unmatched.join("\n");
        bytes.extend(&text);
        bytes.extend(unmatched.as_bytes());

        bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes[RULES..SET].copy_from_slice(rules.as_bytes());
        bytes[SET..COUNTS[0]].copy_from_slice(set.digest().as_bytes());
        let counts = set.counts();
        for (at, number) in [
            (LENGTH, bytes.len() as u64),
            (COUNTS[0], counts.files),
            (COUNTS[1], counts.directories),
            (COUNTS[2], counts.bytes),
            (DIRECTORIES, tree.directories.len() as u64),
            (FILES, files as u64),
            (UNMATCHED, unmatched.len() as u64),
            (LISTS_PARENTS, u64::from(tree.lists_parents)),
        ] {
            set64(&mut bytes, at, number);
        }
        let sum = checksum(&bytes[LENGTH..]);
        set64(&mut bytes, SUM, sum);
        Some(Self { bytes, directories: tree.directories.len(), files })
    }

    /// Takes `bytes` for what they are; `None` when they are not whole or of another version.
    pub(super) fn read(bytes: Vec<u8>) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let right = header.starts_with(&MAGIC)
            && u64_at(header, LENGTH) == bytes.len() as u64
            && u64_at(header, SUM) == checksum(&bytes[LENGTH..]);
        if !right {
            return None;
        }
        let count = |at| usize::try_from(u64_at(header, at)).ok();
        let (directories, files) = (count(DIRECTORIES)?, count(FILES)?);
        let records = directories.checked_mul(DIRECTORY)?.checked_add(files.checked_mul(FILE + DIGEST)?)?;
        (records.checked_add(HEADER)? <= bytes.len()).then_some(Self { bytes, directories, files })
    }

    /// The bytes to be stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the rules by which it was made.
    pub(super) fn rules(&self) -> Digest {
        self.digest_at(RULES)
    }

    /// The digest of the file set.
    pub(super) fn digest(&self) -> Digest {
        self.digest_at(SET)
    }

    pub(super) fn counts(&self) -> Counts {
        let [files, directories, bytes] = COUNTS.map(|at| u64_at(&self.bytes, at));
        Counts { files, directories, bytes }
    }

    /// The globs that matched nothing.
    pub(super) fn unmatched(&self) -> Vec<String> {
        let length = usize::try_from(u64_at(&self.bytes, UNMATCHED)).unwrap_or_default();
        let text = self.bytes.len().checked_sub(length).and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
    }

    pub(super) const fn directories(&self) -> usize {
        self.directories
    }

    pub(super) const fn files(&self) -> usize {
        self.files
    }

    /// The first directory that is not `before` what is sought; all that are lie in front of it.
    pub(super) fn first_directory(&self, before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.directories);
        while low < high {
            let middle = low.midpoint(high);
            if before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(super) fn directory(&self, index: usize) -> DirectoryRecord<'_> {
        let record = self.directory_bytes(index);
        let [device, inode, size, mtime, ctime] = [0, 8, 16, 24, 32].map(|at| u64_at(record, at));
        let flags = u16_at(record, 54);
        DirectoryRecord {
            path: self.text(u32_at(record, 40), u32_at(record, 44)),
            stamp: Stamp {
                device,
                inode,
                mode: u16_at(record, 52),
                size,
                mtime: mtime.cast_signed(),
                ctime: ctime.cast_signed(),
            },
            fresh: flags & FRESH != 0,
            wanted: flags & WANTED != 0,
        }
    }

    /// The index of the first file of the directory `index`, which is also where the files of the one before end.
    pub(super) fn first_file(&self, index: usize) -> usize {
        if index < self.directories { u32_at(self.directory_bytes(index), 48) as usize } else { self.files }
    }

    pub(super) fn file(&self, index: usize, device: u64) -> FileRecord<'_> {
        let start = HEADER + self.directories * DIRECTORY + index * FILE;
        let record: &[u8; FILE] = self.bytes.get(start..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; FILE]);
        let [inode, size, mtime, ctime] = [0, 8, 16, 24].map(|at| u64_at(record, at));
        let (at, name, target) = (u32_at(record, 32), u16_at(record, 40), u16_at(record, 42));
        FileRecord {
            name: self.text(at, name.into()),
            target: self.text(at.saturating_add(name.into()), target.into()),
            stamp: Stamp {
                device,
                inode,
                mode: u16_at(record, 44),
                size,
                mtime: mtime.cast_signed(),
                ctime: ctime.cast_signed(),
            },
            fresh: u16_at(record, 46) & FRESH != 0,
        }
    }

    /// Differs from another snapshot's of the same files if any of them was written in between. Directories are left
    /// out: what comes and goes in them beside the files changes them, too.
    pub(super) fn stamp(&self) -> Digest {
        let mut hasher = Hasher::new("stamp/1");
        for index in 0..self.files {
            let Stamp { inode, ctime, .. } = self.file(index, 0).stamp;
            hasher.number(inode).number(ctime.cast_unsigned());
        }
        hasher.finish()
    }

    /// The symlinks: each one's path and where it points.
    pub(super) fn links(&self) -> Vec<(String, String)> {
        let mut links = Vec::new();
        for index in 0..self.directories {
            for file in (self.first_file(index)..self.first_file(index + 1)).map(|index| self.file(index, 0)) {
                if file.stamp.kind() == rustix::fs::FileType::Symlink {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let path = join(&text(self.directory(index).path), &text(file.name));
                    links.push((path, text(file.target)));
                }
            }
        }
        links
    }

    /// What is known of the contents of the file `index`.
    pub(super) fn content(&self, index: usize, record: &FileRecord<'_>) -> Content {
        if record.stamp.kind() == rustix::fs::FileType::Symlink {
            return Content::Symlink(String::from_utf8_lossy(record.target).into_owned());
        }
        let start = HEADER + self.directories * DIRECTORY + self.files * FILE;
        Content::File(self.digest_at(start + index * DIGEST))
    }

    /// The directory `index` with its files.
    pub(super) fn whole_directory(&self, index: usize) -> Directory {
        let record = self.directory(index);
        let files = (self.first_file(index)..self.first_file(index + 1)).map(|index| {
            let file = self.file(index, record.stamp.device);
            File {
                name: String::from_utf8_lossy(file.name).into_owned(),
                stamp: file.stamp,
                fresh: file.fresh,
                content: self.content(index, &file),
            }
        });
        Directory {
            path: String::from_utf8_lossy(record.path).into_owned(),
            stamp: record.stamp,
            fresh: record.fresh,
            wanted: record.wanted,
            files: files.collect(),
        }
    }

    /// All that was stored.
    pub(super) fn tree(&self) -> Tree {
        let directories = (0..self.directories).map(|index| self.whole_directory(index)).collect();
        Tree { directories, lists_parents: u64_at(&self.bytes, LISTS_PARENTS) != 0 }
    }

    fn directory_bytes(&self, index: usize) -> &[u8; DIRECTORY] {
        let start = HEADER + index * DIRECTORY;
        self.bytes.get(start..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; DIRECTORY])
    }

    fn text(&self, at: u32, length: u32) -> &[u8] {
        let start = HEADER + self.directories * DIRECTORY + self.files * (FILE + DIGEST) + at as usize;
        self.bytes.get(start..start + length as usize).unwrap_or_default()
    }

    fn digest_at(&self, at: usize) -> Digest {
        Digest::from_bytes(*self.bytes.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; DIGEST]))
    }
}

fn put64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn put32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn put16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn set64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

// Reading beyond the end gives 0: `read` has checked that the parts are there, and the checksum that they are right.

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_le_bytes)
}

/// A checksum against damage, not against malice: whoever can write the cache can write the sources as well.
/// Four lanes, because a cryptographic digest of the cache would take longer than all of the `stat` calls it saves.
fn checksum(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: u64| (lane ^ word).wrapping_mul(ODD).rotate_left(29);
    let mut lanes = [1_u64, 2, 3, 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let tail = rest.iter().fold(bytes.len() as u64, |sum, byte| mix(sum, u64::from(*byte)));
    lanes.iter().fold(tail, |sum, lane| mix(sum, *lane))
}

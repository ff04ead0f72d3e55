//! This repository's application, whose one deployment these tests share: each begins by deploying what its predecessor
//! has changed.

mod availability;
mod browser;
mod change;
mod drift;
mod edits;
mod fresh;
mod image_gone;
mod interrupted;
mod killed;
pub mod secret;
mod two_at_once;

//! What a client has sent and nobody has answered.
//!
//! It is kept for one case only: the pod took no connection, so nothing of it was delivered, and may be sent to another
//! one. What may have been delivered is never sent twice.

/// What more than this has been sent, in bytes, is not kept.
const MOST: usize = 64 << 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Unanswered {
    bytes: Vec<u8>,
    ended: bool,
    lost: bool,
}

impl Unanswered {
    /// Keeps further bytes.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.lost |= self.bytes.len() + bytes.len() > MOST;
        if self.lost {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The client sends nothing more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// There has been an answer.
    pub fn forget(&mut self) {
        self.lost = true;
        self.bytes = Vec::new();
    }

    /// What has to be sent again.
    pub fn kept(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Whether the client sends nothing more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing was sent at all.
    pub fn nothing_sent(&self) -> bool {
        self.bytes.is_empty() && !self.ended && !self.lost
    }

    /// Whether all that was sent is still there.
    pub fn is_whole(&self) -> bool {
        !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Unanswered};

    #[test]
    fn it_is_all_there_or_nothing_is() {
        let mut unanswered = Unanswered::default();
        assert!(unanswered.is_whole());
        unanswered.keep(&[1; 10]);
        unanswered.keep(&[2; 10]);
        assert_eq!((unanswered.kept(), unanswered.is_whole()), ([[1; 10], [2; 10]].concat(), true));
        unanswered.keep(&vec![3; MOST]);
        assert_eq!((unanswered.kept(), unanswered.is_whole()), (Vec::new(), false));
        unanswered.keep(&[4]);
        assert_eq!((unanswered.kept(), unanswered.is_whole()), (Vec::new(), false));
    }
}

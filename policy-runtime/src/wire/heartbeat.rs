//! What the two sides agree on about heart-beats.

use std::time::Duration;

/// A `heart-beat` header: how often its sender can send, and wants to receive; zero means never.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::wire::HeartBeat;
/// let (ours, theirs) = (HeartBeat::parse(Some("5000,10000")).unwrap(), HeartBeat::parse(Some("0,8000")).unwrap());
/// assert_eq!(ours.sending_to(theirs), Some(Duration::from_secs(8)));
/// assert_eq!(ours.hearing_from(theirs), None, "they send none");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "the header has two numbers")]
pub struct HeartBeat {
    /// The sender promises something at least this often.
    pub sends: Duration,
    /// The sender wants something at least this often.
    pub wants: Duration,
}

impl HeartBeat {
    /// Reads the header; without one there are no heart-beats.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::default()) };
        let (sends, wants) = text.split_once(',')?;
        let millis = |text: &str| text.trim().parse::<u32>().ok().map(|ms| Duration::from_millis(ms.into()));
        Some(Self { sends: millis(sends)?, wants: millis(wants)? })
    }

    /// How the header is spelled.
    pub fn render(self) -> String {
        format!("{},{}", self.sends.as_millis(), self.wants.as_millis())
    }

    /// How often this side sends to `peer`.
    pub fn sending_to(self, peer: Self) -> Option<Duration> {
        agreed(self.sends, peer.wants)
    }

    /// How often this side hears from `peer`.
    pub fn hearing_from(self, peer: Self) -> Option<Duration> {
        agreed(peer.sends, self.wants)
    }
}

fn agreed(sends: Duration, wants: Duration) -> Option<Duration> {
    (!sends.is_zero() && !wants.is_zero()).then(|| sends.max(wants))
}

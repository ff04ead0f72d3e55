//! minikube: its profiles read from its files, its node looked at through the host's docker daemon, and the minikube
//! tool itself run only to change something.
//!
//! Only profiles are handled whose one node is a container of the host's docker and which runs docker inside, because
//! images are built in that inner daemon. Nothing in here knows of steps or of Kubernetes objects.

mod current_context;
pub mod home;
pub mod look;
pub mod making;
pub mod mend;
pub mod node;
pub mod profile;
pub mod progress;
pub mod start;

pub use home::Home;
pub use look::{Look, Ready};
pub use making::Making;
pub use node::Node;
pub use profile::Profile;

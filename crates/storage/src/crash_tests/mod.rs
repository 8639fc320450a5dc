//! The engine over a disk that crashes. `random`: at moments that a seed chooses. `scripted`: at every operation of a
//! script. `named`: cases that have a name because some engine has failed in them. `planted`: that these tests would find the bugs that an engine of this kind may have.

mod flips;
mod known;
mod named;
mod planted;
mod random;
mod scripted;

pub(crate) use random::until_crash;

//! The simulator as a client sees it, by plain HTTP.

#[cfg(test)]
mod client;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod scale;

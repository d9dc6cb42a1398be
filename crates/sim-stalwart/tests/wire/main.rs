//! The simulator as a client sees it, by plain HTTP.

#[cfg(test)]
mod caldav;
#[cfg(test)]
mod carddav;
#[cfg(test)]
mod client;
#[cfg(test)]
mod dav_properties;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod import;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod set;
#[cfg(test)]
mod set_others;
#[cfg(test)]
mod upload;
#[cfg(test)]
mod write_faults;

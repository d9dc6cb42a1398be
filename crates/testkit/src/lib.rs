#![doc = include_str!("../README.md")]

mod service;

pub mod seaweedfs;
pub mod stalwart;

//! edge

pub mod pages;

//! The one test binary: everything through the front door of a real server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![allow(clippy::pedantic, reason = "tests are prose")]
#![allow(clippy::print_stdout, reason = "what the suite and the clients said belongs into the output of CI")]
#![allow(clippy::allow_attributes, reason = "`expect` would fail where a lint does not strike")]

mod accounts;
mod alerts;
mod app;
mod audit;
mod auth;
mod backup;
mod catalogue;
mod cli;
mod conformance;
mod daemons;
mod demo;
mod docker;
mod doctor;
mod faults;
mod faults_run;
mod guard;
mod health;
mod idempotency;
mod lifecycle;
mod limits;
mod main_job;
mod mcp;
mod n8n;
mod nginx;
mod openapi;
mod postgres;
mod prometheus;
mod redis;
mod replicas;
mod rest;
mod secrets;
mod servers;
mod traces;
mod vendors;

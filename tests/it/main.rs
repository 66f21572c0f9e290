//! The one test binary: everything through the front door of a real server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![allow(clippy::pedantic, reason = "tests are prose")]
#![allow(clippy::print_stdout, reason = "what the suite and the clients said belongs into the output of CI")]
#![allow(clippy::allow_attributes, reason = "`expect` would fail where a lint does not strike")]

mod accounts;
mod alerts;
mod analytics;
mod app;
mod audit;
mod auth;
mod backup;
mod botpress;
mod browser;
mod catalogue;
mod chatwoot;
mod chromium;
mod cli;
mod conformance;
mod daemons;
mod demo;
mod docker;
mod docs;
mod doctor;
mod faults;
mod faults_run;
mod generate;
mod guard;
mod health;
mod idempotency;
mod install;
mod jwt;
mod lifecycle;
mod limits;
mod llm;
mod main_job;
mod mcp;
mod n8n;
mod nginx;
mod oauth;
mod odoo;
mod openapi;
mod postgres;
mod prometheus;
mod redis;
mod replicas;
mod rest;
mod sdk;
mod secrets;
mod servers;
mod sign_in;
mod stdio;
mod supabase;
mod tools;
mod traces;
mod vault;
mod vendors;

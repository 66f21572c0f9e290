//! Sign-in: the gateway as an OAuth 2.1 authorization server of its own, for clients that open a browser instead of holding a token.
//!
//! A client registers ([`client`]), sends the browser to `/oauth/authorize` with a [`request`], where a member signs in ([`sign_in`],
//! [`openid`]) and allows it. That makes a [`code`], the code a [`grant`], and the grant goes on by its [`refresh`] tokens. What it
//! calls with is an access token of 15 minutes ([`crate::auth::jwt`]), signed with one of [`keys`], so that a call costs no look-up.
//!
//! A grant is what a token is otherwise: it has scopes and limits, and revoking it ends the application's access within a second.

pub mod client;
pub mod code;
pub mod cookie;
pub mod grant;
pub mod keys;
pub mod openid;
pub mod refresh;
pub mod request;
pub mod sign_in;

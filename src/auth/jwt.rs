//! Access tokens: JWTs that this gateway signed itself, or that an issuer did whom the operator has named.
// stand-in until merged

use crate::{auth::{Agent, Scopes}, error::{Error, Result}, id::{TenantId, TokenId}, limits::Custom, state::State};

pub struct Access {
    pub grant: TokenId,
    pub tenant: TenantId,
    pub client_id: String,
    pub client_name: String,
    pub granted_by: String,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    pub cells: TokenId,
    pub resource: String,
}
pub fn issue(_: &State, _: &Access) -> Result<(String, u64)> {
    Err(Error::internal("stand-in"))
}
pub fn own(_: &State, _: &str) -> Option<Access> {
    None
}

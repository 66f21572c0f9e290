//! Odoo's models, as its own `fields_get` describes them.

use std::sync::Arc;

use super::Schema;
use crate::{backends::Session, error::Result};

pub(super) async fn schema(session: &Session) -> Result<Arc<Schema>> {
    session.connection("odoo").await?;
    Ok(Arc::default())
}

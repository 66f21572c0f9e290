//! Odoo.

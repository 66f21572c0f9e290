//! A played Odoo.

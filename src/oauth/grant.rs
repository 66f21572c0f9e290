//! Grants: the connected applications of a tenant, and what each may do.

//! Access tokens: JWTs that this gateway signed itself, or that an issuer did whom the operator has named.

//! Authorization codes: what a member allowed, for the minute until the application fetches it.

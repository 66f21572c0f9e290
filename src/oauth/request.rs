//! Authorization requests: what an application asks for, checked before a member sees it.

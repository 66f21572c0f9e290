//! The routes of sign-in: what clients ask as OAuth has it, and the pages that a member sees.

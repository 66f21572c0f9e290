//! Applications that ask for access: registered by themselves, or described by a document at their own address.

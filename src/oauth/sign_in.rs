//! Who is signed in to the pages: the holder of a token, or a person whom the OpenID provider named.

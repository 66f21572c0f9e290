// The version of the gateway that this package was made for. Written by `make sdk` from openapi/smartermcp.json: do not edit.

/** The gateway's version by whose API this package was made. */
export const VERSION = '1.0.0';

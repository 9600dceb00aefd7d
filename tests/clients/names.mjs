// What the provider and those who ask it agree on.

export const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];
export const API = 'https://api.example';
export const OTHER_API = 'https://other.example';
export const OPAQUE_API = 'https://opaque.example';
export const SECRET = 'secret';

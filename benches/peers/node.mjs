// What two libraries for Node take to verify the tokens that the rows of Rust carry: `benches/peers/run node`.
//
// Each is called in this process, without sockets and without Express: jose with a key that was imported once, and the
// middleware of express-oauth2-jwt-bearer with its keys from a JWK Set on loopback. Rounds take turns; medians are
// printed, of the time on the wall, since some signatures are checked on threads of Node's own. The rows are kept for the
// table that `benches/peers/run` prints.
import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { exportJWK, importJWK, jwtVerify, SignJWT } from "jose";
import bearer from "express-oauth2-jwt-bearer";

const ROUNDS = 201;
const CALLS = 25;
const ISSUER = "https://id.example/realms/acme";
const AUDIENCE = "https://api.example";
const KEY_ID = "2026-11-22-main";
const SECRET = new Uint8Array(64).fill(0x5a);
const PRIVATE_KEYS = { RS256: "rsa2048.pem", ES256: "ec256.pem", EdDSA: "ed25519.pem" };
// As in src/case.rs.
const CLAIMS = {
    iss: ISSUER,
    sub: "3f1c9a52-7c1e-4b8e-9a70-0d6a4e6f2b11",
    aud: AUDIENCE,
    exp: 4102444800,
    iat: 1700000000,
    jti: "b5c7d0e8-12f4-4a9b-8f6e-5f3d2c1b0a99",
    scope: "openid profile email chat:read chat:write",
    client_id: "web-app-main",
    azp: "web-app-main",
    typ: "Bearer",
    preferred_username: "alice@example.com",
};

const here = new URL(".", import.meta.url);
const version = (name) => createRequire(import.meta.url)(`./node_modules/${name}/package.json`).version;

// The token of an algorithm, and the public key as a JWK; there is none of a secret.
async function minted(alg) {
    const header = { alg, typ: "at+jwt", kid: KEY_ID };
    if (alg === "HS256") {
        return { token: await new SignJWT(CLAIMS).setProtectedHeader(header).sign(SECRET) };
    }
    const key = createPrivateKey(await readFile(new URL(`../../tests/keys/${PRIVATE_KEYS[alg]}`, here)));
    const jwk = { ...(await exportJWK(createPublicKey(key))), alg, use: "sig", kid: KEY_ID };
    return { token: await new SignJWT(CLAIMS).setProtectedHeader(header).sign(key), jwk };
}

function forged(token) {
    const middle = Math.floor((token.lastIndexOf(".") + token.length) / 2);
    return token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") + token.slice(middle + 1);
}

// Verifies with jose, or throws.
async function jose({ token, jwk }) {
    const hmac = { name: "HMAC", hash: "SHA-256" };
    const key = jwk ? await importJWK(jwk) : await webcrypto.subtle.importKey("raw", SECRET, hmac, false, ["verify"]);
    const verify = (text) => jwtVerify(text, key, { issuer: ISSUER, audience: AUDIENCE });
    return { token, verify };
}

// Goes through the middleware, or throws.
function express({ token, jwk }, alg, keys) {
    const source = jwk ? { jwksUri: `${keys}/${alg}` } : { secret: new TextDecoder().decode(SECRET) };
    const middleware = bearer.auth({ issuer: ISSUER, audience: AUDIENCE, tokenSigningAlg: alg, ...source });
    const verify = (text) =>
        new Promise((resolve, reject) => {
            const headers = { host: "api.example", accept: "*/*", authorization: `Bearer ${text}` };
            // What Express would have made of it.
            const request = {
                ...{ method: "GET", protocol: "https", originalUrl: "/chat", url: "/chat", headers, query: {} },
                get: (name) => headers[name.toLowerCase()],
                is: () => false,
            };
            middleware(request, {}, (error) => (error ? reject(error) : resolve()));
        });
    return { token, verify };
}

async function refuses({ token, verify }) {
    const accepted = await verify(forged(token)).then(() => true, () => false);
    if (accepted) {
        throw new Error("a forged token was accepted");
    }
}

// Nanoseconds per call.
async function round({ token, verify }) {
    const begun = process.hrtime.bigint();
    for (let call = 0; call < CALLS; call++) {
        await verify(token);
    }
    return Number(process.hrtime.bigint() - begun) / CALLS;
}

const median = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];

const sets = {};
const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(sets[request.url.slice(1)]));
}).listen(0, "127.0.0.1");
await once(server, "listening");
const keys = `http://127.0.0.1:${server.address().port}`;

const node = `Node ${process.versions.node.split(".")[0]}`;
const rows = [
    [`${node}: jose ${version("jose")}, no layer`, {}],
    [`${node}: express-oauth2-jwt-bearer ${version("express-oauth2-jwt-bearer")}, its middleware alone`, {}],
];
for (const alg of ["HS256", "RS256", "ES256", "EdDSA"]) {
    const case_ = await minted(alg);
    sets[alg] = { keys: [case_.jwk] };
    const subjects = [await jose(case_), express(case_, alg, keys)];
    const times = subjects.map(() => []);
    for (const subject of subjects) {
        await refuses(subject);
        await round(subject);
    }
    for (let number = 0; number < ROUNDS; number++) {
        for (const [index, subject] of subjects.entries()) {
            times[index].push(await round(subject));
        }
    }
    rows.forEach(([, medians], index) => (medians[alg] = median(times[index])));
}
server.close();

console.log("| | HS256 | RS256 | ES256 | EdDSA |\n| --- | ---: | ---: | ---: | ---: |");
for (const [name, { HS256, RS256, ES256, EdDSA }] of rows) {
    console.log(`| ${[name, ...[HS256, RS256, ES256, EdDSA].map(Math.round)].join(" | ")} |`);
}
const target = new URL("../../target/peers/", here);
await mkdir(target, { recursive: true });
await writeFile(new URL("node.json", target), JSON.stringify(rows));

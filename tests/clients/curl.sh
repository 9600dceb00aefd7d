#!/usr/bin/env bash
# The example `agent_chat` as curl sees it: exact statuses and headers, over a real socket on loopback.
# Tokens are minted here with openssl, so that nothing of ours vouches for itself.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
exec </dev/null

for command in cargo curl openssl; do
    if ! command -v "$command" >/dev/null; then
        printf 'tests/clients/curl.sh needs the command %s\n' "$command" >&2
        exit 1
    fi
done

readonly SECRET=a-secret-for-tests-of-at-least-32-bytes
readonly ISSUER=https://id.example AUDIENCE=agent-chat
# The key of RFC 6455 §1.3, and the headers of its opening handshake.
readonly UPGRADE=(
    -H 'Connection: Upgrade' -H 'Upgrade: websocket'
    -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H 'Sec-WebSocket-Version: 13'
)
scratch=$(mktemp -d)
server=
port=
checks=0
failures=0
tokens=()

stop_server() {
    if [[ -n "$server" ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'stop_server; rm -rf -- "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts the example on a port that is free on loopback, and waits until it answers.
start_server() {
    cargo build --example agent_chat --features full
    local attempt
    for attempt in 1 2 3 4 5; do
        port=$((10240 + RANDOM % 20000))
        # The audience comes from `.env` alone. The environment wins over the issuer there.
        printf 'JWT_AUDIENCE="%s"\nJWT_ISSUER=https://other.example\n' "$AUDIENCE" >"$scratch/.env"
        # `cargo run` becomes the example (exec), so this process id is the server's own.
        (
            manifest=$PWD/Cargo.toml
            cd -- "$scratch"
            PORT=$port JWT_SECRET=$SECRET JWT_ISSUER=$ISSUER DATABASE_URL=sqlite:$scratch/agent_chat.db \
                exec cargo run --quiet --manifest-path "$manifest" --example agent_chat --features full
        ) >"$scratch/log" 2>&1 &
        server=$!
        local tick
        for ((tick = 0; tick < 150; tick++)); do
            if ! kill -0 "$server" 2>/dev/null; then
                break
            fi
            if [[ "$(request -o /dev/null -w '%{http_code}' "$(url /health)" || true)" == 200 ]]; then
                return 0
            fi
            sleep 0.2
        done
        stop_server
        printf 'attempt %d on port %d did not answer /health:\n' "$attempt" "$port" >&2
        cat "$scratch/log" >&2
    done
    return 1
}

url() {
    printf 'http://127.0.0.1:%s%s' "$port" "$1"
}

# curl as it comes, untouched by the configuration and the proxies of whoever runs this.
request() {
    curl -q --noproxy '*' --silent --http1.1 --max-time 20 "$@"
}

# printed LINE: the status of a whole curl line, its output dropped.
printed() {
    bash -c 'curl() { command curl -q --noproxy "*" --silent --max-time 20 -o /dev/null -w "%{http_code}" "$@"; }
        '"$1"
}

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# mint CLAIMS [HEADER] [SECRET]: leaves a JWS in compact form, signed with HS256, in `token`.
mint() {
    local claims=$1 header=${2-'{"alg":"HS256","typ":"JWT"}'} secret=${3-$SECRET} input signature
    input=$(printf '%s' "$header" | base64url).$(printf '%s' "$claims" | base64url)
    signature=$(printf '%s' "$input" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)
    token=$input.$signature
    tokens+=("$token")
}

# claims SUBJECT EXPIRY [ISSUER] [AUDIENCE]
claims() {
    printf '{"sub":"%s","exp":%d,"iss":"%s","aud":"%s"}' "$1" "$2" "${3-$ISSUER}" "${4-$AUDIENCE}"
}

check() {
    local name=$1
    shift
    checks=$((checks + 1))
    if ! "$@"; then
        failures=$((failures + 1))
        printf 'FAILED %s: not true: %s\n' "$name" "$*" >&2
        sed 's/^/    /' "$scratch/head" >&2
        head -c 600 "$scratch/body" | sed 's/^/    /' >&2
        printf '\n' >&2
    fi
}

has_status() {
    [[ "$status" == "$1" ]]
}

# The lines of one response header, its name in lower case.
header() {
    tr -d '\r' <"$scratch/head" | grep -i "^$1:" || true
}

has_header() {
    header "$1" | grep -Eiq -- "^$1: *$2"
}

lacks_in_header() {
    ! header "$1" | grep -Eq -- "$2"
}

lacks_in_log() {
    ! grep -Fq -- "$1" "$scratch/log"
}

has_lines() {
    (($(wc -l <"$scratch/lines") >= $1))
}

has_body() {
    grep -Eaq -- "$1" "$scratch/body"
}

lacks_in_body() {
    ! grep -Fq -- "$1" "$scratch/body"
}

# expect NAME STATUS PATH [CURL ARGUMENTS]: one request; its head and body stay for further checks.
expect() {
    local name=$1 wanted=$2 path=$3
    shift 3
    : >"$scratch/head"
    : >"$scratch/body"
    status=$(request --path-as-is -D "$scratch/head" -o "$scratch/body" -w '%{http_code}' "$@" "$(url "$path")") || true
    check "$name" has_status "$wanted"
}

# RFC 6750 §3.1: nothing came, so the challenge says nothing but its scheme and realm.
expect_bare_challenge() {
    expect "$1" 401 "${@:2}"
    check "$1" has_header www-authenticate Bearer
    check "$1" lacks_in_header www-authenticate 'error'
    check "$1" has_header cache-control '.*no-store'
    check "$1" has_header content-type 'application/problem\+json'
}

expect_error() {
    local name=$1 wanted=$2 code=$3
    expect "$name" "$wanted" "${@:4}"
    check "$name" has_header www-authenticate "Bearer .*error=\"$code\""
}

expect_stream() {
    expect "$1" 200 /chat -N "${message[@]}" "${@:2}"
    check "$1" has_header content-type text/event-stream
    check "$1" has_body '^data:'
}

expect_agent() {
    expect "$1" 200 "${@:2}"
    check "$1" has_header content-type application/json
    check "$1" has_body '"subject" *: *"alice"'
    check "$1" has_body '"agent" *: *"a"'
    check "$1" has_body '"room" *: *"r"'
}

# A handshake that is accepted: the room says who it is, in a frame. The socket stays open, so curl is told to go.
expect_room() {
    expect "$1" 101 "${@:2}" --max-time 2
    check "$1" has_header upgrade websocket
    check "$1" has_body '"type":"cf_agent_identity"'
}

start_server
readonly message=(-H 'Content-Type: application/json' --data '{"message":"hello"}')
readonly origin=http://127.0.0.1:$port
now=$(date +%s)
mint "$(claims alice $((now + 600)))"
valid=$token
mint "$(claims mallory $((now + 600)))" '{"alg":"HS256","typ":"JWT"}' another-secret-of-at-least-32-bytes-here
forged=$token
# Sessions are the service's own: `JWT_ISSUER` and `JWT_AUDIENCE` are demanded of bearer tokens only.
mint "{\"sub\":\"alice\",\"exp\":$((now + 600))}"
session=$token

# No credentials.
for path in /chat /stop /history /agents/a/r /nowhere; do
    expect_bare_challenge "no token, GET $path" "$path"
done
expect_bare_challenge 'no token, POST /chat' /chat "${message[@]}"
expect_bare_challenge 'no token, HEAD /chat' /chat --head
expect_bare_challenge 'no token, upgrade' /agents/a/r "${UPGRADE[@]}"
expect_bare_challenge 'another scheme' /chat -H 'Authorization: Basic YWxpY2U6cHc='

# Exempt.
expect 'exempt /health' 200 /health
expect 'exempt /' 200 /
expect 'exempt with a bad token' 200 /health -H "Authorization: Bearer $forged"

# Header.
expect_stream 'header' -H "Authorization: Bearer $valid"
expect_stream 'header, scheme in lower case' -H "authorization: bearer $valid"
expect_agent 'header, agent' /agents/a/r -H "Authorization: Bearer $valid"
expect 'header, history' 200 /history -H "Authorization: Bearer $valid"
expect 'who am I' 200 /api/users/me -H "Authorization: Bearer $valid"
check 'who am I' has_body '"subject" *: *"alice"'
check 'who am I' has_body "\"issuer\" *: *\"$ISSUER\""
expect_bare_challenge 'who am I, no token' /api/users/me
expect_error 'who am I, forged' 401 invalid_token /api/users/me -H "Authorization: Bearer $forged"
expect_error 'forged' 401 invalid_token /chat "${message[@]}" -H "Authorization: Bearer $forged"
expect_error 'no token at all' 401 invalid_token /chat "${message[@]}" -H 'Authorization: Bearer abc'
expect_error 'broken carrier' 400 invalid_request /chat "${message[@]}" -H 'Authorization: Bearer a b'
expect_error 'empty carrier' 400 invalid_request /chat "${message[@]}" -H 'Authorization: Bearer '
mint "$(claims alice $((now - 60)))"
expect_error 'expired' 401 invalid_token /chat -H "Authorization: Bearer $token"
mint "$(claims alice $((now - 5)))"
expect 'expired within the leeway of 30 s' 200 /history -H "Authorization: Bearer $token"
mint "$(claims alice $((now + 600)) https://evil.example)"
expect_error 'another issuer' 401 invalid_token /chat -H "Authorization: Bearer $token"
mint "$(claims alice $((now + 600)) "$ISSUER" another)"
expect_error 'another audience' 401 invalid_token /chat -H "Authorization: Bearer $token"
mint "{\"exp\":$((now + 600)),\"iss\":\"$ISSUER\",\"aud\":\"$AUDIENCE\"}"
expect_error 'no subject' 401 invalid_token /chat -H "Authorization: Bearer $token"
mint "{\"sub\":\"alice\",\"iss\":\"$ISSUER\",\"aud\":\"$AUDIENCE\"}"
expect_error 'no expiry' 401 invalid_token /chat -H "Authorization: Bearer $token"
mint "$(claims alice $((now + 600)))" '{"alg":"none"}'
expect_error 'alg none, signed' 401 invalid_token /chat -H "Authorization: Bearer $token"
expect_error 'alg none, bare' 401 invalid_token /chat -H "Authorization: Bearer ${token%.*}."
mint "$(claims alice $((now + 600)))" '{"alg":"HS256","crit":["exp"]}'
expect_error 'crit' 401 invalid_token /chat -H "Authorization: Bearer $token"

# Two credentials, also when both are good.
expect_error 'header and cookie' 400 invalid_request /chat "${message[@]}" \
    -H "Authorization: Bearer $valid" -H "Cookie: jwt_token=$valid" -H "Origin: $origin"
expect_error 'two Authorization lines' 400 invalid_request /chat "${message[@]}" \
    -H "Authorization: Bearer $valid" -H "Authorization: Bearer $valid"
expect_error 'two cookies of the name' 400 invalid_request /chat "${message[@]}" \
    -H "Cookie: jwt_token=$valid; jwt_token=$valid" -H "Origin: $origin"
expect_error 'header and query, upgrade' 400 invalid_request "/agents/a/r?access_token=$valid" "${UPGRADE[@]}" \
    -H "Authorization: Bearer $valid"
expect_error 'query twice, upgrade' 400 invalid_request "/agents/a/r?access_token=$valid&access_token=$valid" \
    "${UPGRADE[@]}"

# Cookie.
expect_stream 'cookie, own origin' -H "Cookie: theme=dark; jwt_token=$session" -H "Origin: $origin"
expect 'cookie, foreign origin' 403 /chat "${message[@]}" -H "Cookie: jwt_token=$session" -H 'Origin: https://evil.example'
check 'cookie, foreign origin' has_header cache-control '.*no-store'
expect 'cookie, null origin' 403 /chat "${message[@]}" -H "Cookie: jwt_token=$session" -H 'Origin: null'
expect 'cookie, cross-site' 403 /chat "${message[@]}" -H "Cookie: jwt_token=$session" \
    -H 'Origin: https://evil.example' -H 'Sec-Fetch-Site: cross-site'
expect 'cookie, upgrade from a foreign origin' 403 /agents/a/r "${UPGRADE[@]}" -H "Cookie: jwt_token=$session" \
    -H 'Origin: https://evil.example'
# A room of its own: the subject of a session has another issuer.
expect_room 'cookie, upgrade from the own origin' /agents/a/cookie "${UPGRADE[@]}" -H "Cookie: jwt_token=$session" \
    -H "Origin: $origin"
expect 'cookie, forged' 401 /chat "${message[@]}" -H "Cookie: jwt_token=$forged" -H "Origin: $origin"
expect 'cookie under an escaped name' 401 /chat "${message[@]}" -H "Cookie: jwt%5Ftoken=$session" -H "Origin: $origin"

# Whose it is: Alice came first, Bob is a stranger.
mint "$(claims bob $((now + 600)))"
readonly alice=(-H "Authorization: Bearer $valid") bob=(-H "Authorization: Bearer $token")
readonly json=(-H 'Content-Type: application/json')

# expect_not_owner NAME PATH [CURL ARGUMENTS]
expect_not_owner() {
    expect "$1" 403 "${@:2}"
    check "$1" has_body '"code" *: *"not_owner"'
    check "$1" has_body 'This chat is not yours'
}

# expect_closed NAME REASON PATH [CURL ARGUMENTS]: the handshake is completed, and the close frame says why.
expect_closed() {
    expect "$1" 101 "${@:3}" "${UPGRADE[@]}" --max-time 2
    check "$1" has_body "$2"
    check "$1" lacks_in_body cf_agent_identity
}

expect_not_owner 'a stranger, room' /agents/a/r "${bob[@]}"
expect_not_owner 'a stranger, get-messages' /agents/a/r/get-messages "${bob[@]}"
expect_not_owner 'a stranger, the room in other letters' /agents/%61/r "${bob[@]}"
expect_not_owner 'a stranger, share' /agents/a/r/share "${bob[@]}" "${json[@]}" --data '{"subject":"bob","role":"admin"}'
expect_not_owner 'a stranger, transfer' /agents/a/r/transfer "${bob[@]}" "${json[@]}" --data '{"subject":"bob"}'
expect_closed 'a stranger, upgrade' 'This chat is not yours|not_owner' /agents/a/r "${bob[@]}"

expect 'share to read' 204 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":"reader"}'
expect 'a reader reads' 200 /agents/a/r/get-messages "${bob[@]}"
expect_closed 'a reader, upgrade' forbidden /agents/a/r "${bob[@]}"
expect 'a reader shares nothing' 403 /agents/a/r/share "${bob[@]}" "${json[@]}" --data '{"subject":"eve","role":"reader"}'
expect 'share to write' 204 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":"writer"}'
expect_room 'a writer, upgrade' /agents/a/r "${UPGRADE[@]}" "${bob[@]}"
expect 'a writer shares nothing' 403 /agents/a/r/share "${bob[@]}" "${json[@]}" --data '{"subject":"eve","role":"reader"}'
expect 'a writer hands nothing over' 403 /agents/a/r/transfer "${bob[@]}" "${json[@]}" --data '{"subject":"bob"}'
expect 'share with the owner' 409 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"alice","role":"reader"}'
expect 'share with nobody' 400 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"","role":"reader"}'
expect 'share in no known role' 422 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":"king"}'
expect 'share in a role that was left out' 422 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob"}'
expect 'share, and more' 422 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":"reader","for":"ever"}'
expect 'share in no JSON' 400 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":'
expect 'share as a form' 415 /agents/a/r/share "${alice[@]}" --data 'subject=bob&role=reader'
expect 'share with a name that is too long' 400 /agents/a/r/share "${alice[@]}" "${json[@]}" \
    --data "{\"subject\":\"$(head -c 10240 /dev/zero | tr '\0' x)\",\"role\":\"reader\"}"
expect 'what was malformed took nothing back' 200 /agents/a/r/get-messages "${bob[@]}"
expect 'hand over to nobody' 400 /agents/a/r/transfer "${alice[@]}" "${json[@]}" --data '{"subject":""}'
expect 'share taken back' 204 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":null}'
expect_not_owner 'shared no more' /agents/a/r "${bob[@]}"
expect 'share taken back twice' 404 /agents/a/r/share/bob "${alice[@]}" --request DELETE
expect 'share again' 204 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"bob","role":"admin"}'
expect 'an admin shares' 204 /agents/a/r/share "${bob[@]}" "${json[@]}" --data '{"subject":"eve","role":"reader"}'
expect 'share taken back by DELETE' 204 /agents/a/r/share/bob "${alice[@]}" --request DELETE
expect_not_owner 'shared no more, by DELETE' /agents/a/r "${bob[@]}"

expect 'a chat with a name' 200 /history "${alice[@]}" -H 'makers-conversation-id: c1'
expect_not_owner 'a chat of somebody else' /history "${bob[@]}" -H 'makers-conversation-id: c1'
expect_not_owner 'a chat of somebody else, chat' /chat "${message[@]}" "${bob[@]}" -H 'makers-conversation-id: c1'
expect 'a chat with two names' 403 /history "${alice[@]}" -H 'makers-conversation-id: c1' -H 'makers-conversation-id: c2'
check 'a chat with two names' has_body '"code" *: *"resource_unnamed"'
expect 'a chat of one’s own' 200 /history "${bob[@]}"

# API keys open what their owner owns, and make no others.
expect 'a key' 201 /keys "${alice[@]}" "${json[@]}" --data '{"label":"laptop"}'
key=$(sed -n 's/.*"key" *: *"\([^"]*\)".*/\1/p' "$scratch/body")
id=$(sed -n 's/.*"id" *: *"\([^"]*\)".*/\1/p' "$scratch/body")
tokens+=("$key")
expect_agent 'key, agent' /agents/a/r -H "X-API-Key: $key"
expect_room 'key, upgrade' /agents/a/r "${UPGRADE[@]}" -H "X-API-Key: $key"
expect 'key and token' 400 /history "${alice[@]}" -H "X-API-Key: $key"
expect 'a key makes no key' 403 /keys -H "X-API-Key: $key" "${json[@]}" --data '{"label":"another"}'
expect 'a made-up key' 401 /history -H 'X-API-Key: tw_0_0_0'
expect 'a key with a member that is none' 400 /keys "${alice[@]}" "${json[@]}" --data '{"label":"laptop","owner":"bob"}'
expect 'a key in no JSON' 400 /keys "${alice[@]}" "${json[@]}" --data '{'
expect 'a key that is over already' 400 /keys "${alice[@]}" "${json[@]}" --data '{"expires_in":0}'
expect 'a key with a scope that its maker lacks' 403 /keys "${alice[@]}" "${json[@]}" --data '{"scopes":["admin"]}'
expect 'keys after no key' 400 '/keys?cursor=%00' "${alice[@]}"
expect 'keys' 200 /keys "${alice[@]}"
check 'keys' has_body '"label" *: *"laptop"'
check 'keys' lacks_in_body "$key"
expect 'keys of somebody else' 200 /keys "${bob[@]}"
check 'keys of somebody else' lacks_in_body laptop
expect 'the key of somebody else' 404 "/keys/$id" "${bob[@]}" --request DELETE
expect 'a key revoked' 204 "/keys/$id" "${alice[@]}" --request DELETE
expect 'a key revoked twice' 404 "/keys/$id" "${alice[@]}" --request DELETE
expect 'a revoked key' 401 /agents/a/r -H "X-API-Key: $key"

expect 'share once more' 204 /agents/a/r/share "${alice[@]}" "${json[@]}" --data '{"subject":"eve","role":"reader"}'
expect 'handed over to oneself' 204 /agents/a/r/transfer "${alice[@]}" "${json[@]}" --data '{"subject":"alice"}'
expect 'handed over to oneself, and shared with nobody' 404 /agents/a/r/share/eve "${alice[@]}" --request DELETE
expect 'handed over' 204 /agents/a/r/transfer "${alice[@]}" "${json[@]}" --data '{"subject":"bob"}'
expect_not_owner 'handed over, the old owner' /agents/a/r "${alice[@]}"
expect_closed 'handed over, upgrade of the old owner' 'This chat is not yours|not_owner' /agents/a/r "${alice[@]}"
expect_room 'handed over, the new owner' /agents/a/r "${UPGRADE[@]}" "${bob[@]}"
expect 'ready' 200 /ready

# A page of another site can make a browser follow a link, so no link changes anything.
expect 'GET /stop with a session' 405 /stop -H "Cookie: jwt_token=$session"

# Query: on an upgrade only.
expect 'query, plain request' 401 "/agents/a/r?access_token=$valid"
expect_room 'query, upgrade' "/agents/a/query?access_token=$valid" "${UPGRADE[@]}"
expect_error 'query, upgrade, forged' 401 invalid_token "/agents/a/r?access_token=$forged" "${UPGRADE[@]}"

# A path that can be read in two ways is protected.
for path in '/auth/../chat' '//chat' '/%63hat' '/auth/%2e%2e/chat' '/auth/%252e%252e/chat' '/auth/..%2fchat' \
    '/auth/..;/chat' '/auth/.%2e/chat' '/./chat' '/health/../chat' '/health/' '/HEALTH' '/health;x' '/health%2f..%2fchat' \
    '/auth//chat' '/auth/..\chat'; do
    expect "path $path" 401 "$path"
    expect "path $path, POST" 401 "$path" "${message[@]}"
done

expect_error 'a session as a bearer token' 401 invalid_token /chat "${message[@]}" -H "Authorization: Bearer $session"

# The curl lines that the example prints work as they stand: refused without a token, and else admitted.
grep '^curl ' "$scratch/log" >"$scratch/lines" || true
check 'printed lines' has_lines 3
while IFS= read -r line; do
    : >"$scratch/head"
    printf '%s\n' "$line" >"$scratch/body"
    status=$(printed "$line") || true
    case $line in
        */share*) check 'printed line' has_status 204 ;;
        */keys*) check 'printed line' has_status 201 ;;
        *'Bearer '* | *jwt_token=*) check 'printed line' has_status 200 ;;
        *) check 'printed line' has_status 401 ;;
    esac
done <"$scratch/lines"

# Whatever came in, the server is alive, and no token that we sent stands in its log.
expect 'still alive' 200 /health
for token in "${tokens[@]}"; do
    check 'no token in the log' lacks_in_log "${token##*.}"
done

printf '%d checks, %d failed\n' "$checks" "$failures"
((failures == 0))

// A browser, as far as signing in at a provider needs one: it follows redirects, keeps cookies and sends forms.

const REDIRECT_URI = 'http://127.0.0.1/callback';

/** Signs alice in by the authorization code flow: `id_token`, and an opaque `access_token` for the userinfo endpoint. */
export async function signIn(issuer, clientId, secret) {
  const question = new URLSearchParams({
    client_id: clientId, response_type: 'code', scope: 'openid profile', redirect_uri: REDIRECT_URI, state: 'a state',
  });
  const answer = new URL(await walk(`${issuer}/auth?${question}`));
  const code = answer.searchParams.get('code');
  if (!code) throw new Error(`nobody was signed in: ${answer}`);
  return requestToken(issuer, clientId, secret, {
    grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI,
  });
}

/** What the token endpoint answers to that client. */
export async function requestToken(issuer, clientId, secret, parameters) {
  // RFC 6749 §2.3.1: both are form-encoded first.
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`;
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
    body: new URLSearchParams(parameters),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return body;
}

/** From page to page, until one leads back to the client; gives that address. */
async function walk(start) {
  const cookies = new Map();
  let [url, form] = [start, undefined];
  for (let page = 0; page < 12; page += 1) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const text = await response.text();
    const location = response.headers.get('location');
    if (location) {
      [url, form] = [new URL(location, url).href, undefined];
      if (url.startsWith(REDIRECT_URI)) return url;
      continue;
    }
    const action = /<form[^>]* action="([^"]+)"/.exec(text)?.[1];
    const prompt = /name="prompt" value="(\w+)"/.exec(text)?.[1];
    if (!action || !prompt) throw new Error(`${response.status} from ${url}: ${text}`);
    [url, form] = [new URL(action, url).href, new URLSearchParams({ prompt, login: 'alice', password: 'any' })];
  }
  throw new Error(`${start} leads nowhere`);
}

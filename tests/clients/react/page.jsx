// A page as users of Cloudflare Agents write it: the hooks `useAgent` and `useAgentChat`, as they come from npm.
//
// It is served from one origin and talks to the service at another, which is named in the query: `?service=…&room=…&user=…`.
// Its own origin gives it tokens at `/token`, as a page's backend or its identity provider does.

import { useAgent } from 'agents/react';
import { useAgentChat } from 'agents/chat/react';
import { StrictMode, Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';

const place = new URLSearchParams(location.search);

/** Asked by `useAgent` before it connects, and again whenever it comes back. */
async function freshToken() {
  const response = await fetch('/token', { method: 'POST', body: place.get('user') });
  return { token: await response.text() };
}

function Chat() {
  const [opened, setOpened] = useState(0);
  const [closed, setClosed] = useState([]);
  const agent = useAgent({
    agent: 'Helper',
    name: place.get('room'),
    host: place.get('service'),
    query: freshToken,
    minReconnectionDelay: 100,
    onOpen: () => setOpened((count) => count + 1),
    onClose: ({ code, reason }) => setClosed((list) => [...list, `${code} ${reason}`]),
  });
  const { messages, sendMessage, status } = useAgentChat({ agent });
  const refusal = agent.connectionError;

  function submit(event) {
    event.preventDefault();
    const text = new FormData(event.target).get('text');
    event.target.reset();
    sendMessage({ role: 'user', parts: [{ type: 'text', text }] });
  }

  return (
    <>
      <h1>{agent.name}</h1>
      {refusal && <p role="alert">The service said no: {refusal.reason} ({refusal.code})</p>}
      <p>
        <output id="connection">{agent.identified ? 'identified' : 'not connected'}</output>,{' '}
        opened <output id="opened">{opened}</output> times, closed: <output id="closed">{closed.join(', ')}</output>
      </p>
      <ol id="messages">
        {messages.map(({ id, role, parts }) => (
          <li key={id} data-role={role}>{parts.map(({ text }) => text ?? '').join('')}</li>
        ))}
      </ol>
      <form onSubmit={submit}>
        <label>Message <input name="text" required /></label> <button disabled={status !== 'ready'}>Send</button>
      </form>
    </>
  );
}

createRoot(document.getElementById('page')).render(
  <StrictMode>
    <Suspense fallback={<p>Connecting …</p>}>
      <Chat />
    </Suspense>
  </StrictMode>,
);

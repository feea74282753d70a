import http from 'node:http';

/**
 * The control endpoint of a server that runs as a child process, on a port of its own:
 * POST /faults (a Fault as JSON), DELETE /faults, GET /requests (JSON), DELETE /requests.
 *
 * @param {import('./server.js').S3Server} server
 */
export async function startControl(server, port = 0) {
  const control = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      try {
        const answer = perform(server, `${request.method} ${request.url}`, Buffer.concat(chunks).toString('utf8'));
        response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer ?? { error: 'no such control request' }));
      } catch (error) {
        response.writeHead(400);
        response.end(String(error));
      }
    });
  });
  await new Promise((resolve, reject) => {
    control.once('error', reject);
    control.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: control.address().port,
    close: () =>
      new Promise((resolve) => {
        control.close(resolve);
        control.closeAllConnections();
      }),
  };
}

function perform(server, request, body) {
  switch (request) {
    case 'POST /faults':
      server.faults.add(JSON.parse(body));
      return {};
    case 'DELETE /faults':
      server.faults.clear();
      return {};
    case 'GET /requests':
      return server.requests;
    case 'DELETE /requests':
      server.requests = [];
      return {};
    default:
      return undefined;
  }
}

// CloudFront function (runtime cloudfront-js-2.0), viewer request. Everything goes to the HTTP API, the distribution's
// origin, but GET on a thread's stream, which only a WebSocket handshake asks for. The chat page has a behaviour of its
// own, which its address without the last slash does not match.
import cf from 'cloudfront';

const STREAM = /^\/threads\/([^/]+)\/stream(?:\/events)?\/?$/;

function handler(event) {
    const request = event.request;
    if (request.uri === '/app') {
        return { statusCode: 308, statusDescription: 'Permanent Redirect', headers: { location: { value: '/app/' } } };
    }
    const stream = request.method === 'GET' && STREAM.exec(request.uri);
    if (stream) {
        cf.updateRequestOrigin({ domainName: 'WEBSOCKET_DOMAIN', originPath: '' });
        request.uri = '/WEBSOCKET_STAGE';
        // The path names the thread; a query that names another one does not count.
        request.querystring.thread_id = { value: stream[1] };
    }
    return request;
}

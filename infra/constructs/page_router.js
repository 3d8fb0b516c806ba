// CloudFront function (runtime cloudfront-js-2.0), viewer request on the page's paths: a folder's address is its index.
function handler(event) {
    const request = event.request;
    if (request.uri.endsWith('/')) {
        request.uri += 'index.html';
    }
    return request;
}

/** The API's description, shown by Swagger UI: from here, so that nobody else's script runs where the chat page's tokens are. */

import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle";
import "swagger-ui-dist/swagger-ui.css";

import { loadConfig } from "./page/config";

async function show(): Promise<void> {
  const { apiBase } = await loadConfig();
  // Neither a validator elsewhere nor addresses in the page's own address.
  SwaggerUI({
    url: `${apiBase}/openapi.json`,
    domNode: document.getElementById("docs"),
    validatorUrl: null,
    queryConfigEnabled: false,
    deepLinking: true,
  });
}

void show();

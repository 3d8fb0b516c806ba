/** What can go wrong, in words that the page may show. */

/** The service has refused a request; `message` is its own and says what to do. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "RefusedError";
  }
}

/** The service cannot be reached. */
export class UnreachableError extends Error {
  constructor() {
    super("The service cannot be reached. Check your connection and try again.");
    this.name = "UnreachableError";
  }
}

/** There is no sign-in, or it has ended. */
export class SignedOutError extends Error {
  constructor(message = "Sign in to go on.") {
    super(message);
    this.name = "SignedOutError";
  }
}

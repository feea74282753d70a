/** What a request of the server is refused with: S3's code, the HTTP status, a message. */
export class S3Error extends Error {
  /**
   * @param {string} code
   * @param {number} status
   * @param {string} message
   */
  constructor(code, status, message) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

// Sends one fixed message many times with nodemailer's pool; prints the seconds it took as JSON.
// Usage: node nodemailer.mjs '{"ports": [..], "sessions": 20, "messages": 1000, "file": "..",
//                              "parts": null | {"subject": "..", "text": "..", "html": ".."},
//                              "ca": null | "ca.pem"}'
import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const task = JSON.parse(process.argv[2]);
const raw = readFileSync(task.file);
const envelope = { from: "news@example.com", to: ["user@example.com"] };
const mail = task.parts
  ? { from: "News <news@example.com>", to: envelope.to, ...task.parts }
  : { envelope, raw };

async function send(port, sessions, messages) {
  const transport = nodemailer.createTransport({
    pool: true,
    host: "127.0.0.1",
    port,
    secure: task.ca !== null,
    ignoreTLS: task.ca === null,
    tls: task.ca === null ? {} : { ca: readFileSync(task.ca) },
    maxConnections: sessions,
    maxMessages: Infinity,
  });
  let left = messages;
  const worker = async () => {
    while (left-- > 0) await transport.sendMail(mail);
  };
  // twice as many on their way as there are sessions: none of them ever waits for its next message
  await Promise.all(Array.from({ length: 2 * sessions }, worker));
  transport.close();
}

const started = performance.now();
const share = (total, index) => Math.floor((total + index) / task.ports.length);
await Promise.all(
  task.ports.map((port, i) => send(port, share(task.sessions, i), share(task.messages, i))),
);
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000 }));

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
// Where the server does not accept everything, each message has a recipient of its own. A caller of
// sendMail gets an error for a message that is refused or deferred; nodemailer does not try again.
let next = 0;
let failed = 0;
const mailTo = () =>
  task.is_mixed
    ? { raw, envelope: { from: envelope.from, to: [`user${next++}@example.com`] } }
    : mail;
const count = () => {
  if (!task.is_mixed) throw new Error("a message was not accepted");
  failed++;
};

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
    while (left-- > 0) await transport.sendMail(mailTo()).catch(count);
  };
  // twice as many on their way as there are sessions: none of them ever waits for its next message
  await Promise.all(Array.from({ length: 2 * sessions }, worker));
  transport.close();
}

const started = performance.now();
const before = process.cpuUsage();
const share = (total, index) => Math.floor((total + index) / task.ports.length);
await Promise.all(
  task.ports.map((port, i) => send(port, share(task.sessions, i), share(task.messages, i))),
);
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    seconds: (performance.now() - started) / 1000,
    cpu_seconds: (user + system) / 1e6,
    failed,
  }),
);

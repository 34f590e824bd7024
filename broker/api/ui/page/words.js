// What codes and reasons mean.

// reasons are the reason codes of MQTT 5 [2.4].
const reasons = {
  0x00: "Success", 0x01: "Granted QoS 1", 0x02: "Granted QoS 2", 0x04: "Disconnect with will", 0x10: "No matching subscribers",
  0x11: "No subscription existed", 0x18: "Continue authentication", 0x19: "Re-authenticate", 0x80: "Unspecified error", 0x81: "Malformed packet",
  0x82: "Protocol error", 0x83: "Implementation specific error", 0x84: "Unsupported protocol version", 0x85: "Client identifier not valid",
  0x86: "Bad user name or password", 0x87: "Not authorized", 0x88: "Server unavailable", 0x89: "Server busy", 0x8A: "Banned",
  0x8B: "Server shutting down", 0x8C: "Bad authentication method", 0x8D: "Keep alive timeout", 0x8E: "Session taken over",
  0x8F: "Topic filter invalid", 0x90: "Topic name invalid", 0x91: "Packet identifier in use", 0x92: "Packet identifier not found",
  0x93: "Receive maximum exceeded", 0x94: "Topic alias invalid", 0x95: "Packet too large", 0x96: "Message rate too high", 0x97: "Quota exceeded",
  0x98: "Administrative action", 0x99: "Payload format invalid", 0x9A: "Retain not supported", 0x9B: "QoS not supported", 0x9C: "Use another server",
  0x9D: "Server moved", 0x9E: "Shared subscriptions not supported", 0x9F: "Connection rate exceeded", 0xA0: "Maximum connect time",
  0xA1: "Subscription identifiers not supported", 0xA2: "Wildcard subscriptions not supported",
};

export function reason(code) {
  return reasons[code] ?? "Unknown reason code";
}

// drops are the reasons for which a message is not delivered, by their name in the API.
const drops = {
  queue_full: ["Queue full", "The session's queue was at its limit of messages or bytes"],
  expired: ["Expired", "The message expiry ran out before delivery began"],
  too_large: ["Too large", "Larger than the client's maximum packet size"],
  output_full: ["Output full", "QoS 0 to a connection that does not take what waits for it"],
  qos0_offline: ["QoS 0, away", "QoS 0 for a session that is not connected"],
  acl: ["Not allowed", "A rule does not let the publisher publish or the subscriber read"],
  hook: ["Hook", "A hook rejected the message"],
  no_subscriber: ["No subscriber", "Nobody subscribes to the topic. Nothing is lost"],
  payload_format: ["Payload format", "The payload is not the UTF-8 it says it is"],
  memory: ["Memory", "Shed because memory was over the high watermark"],
  session_ended: ["Session ended", "The session ended with messages in its queue"],
  retain_limit: ["Retain limit", "A retained message over the limit of number or size"],
  delay_limit: ["Delay limit", "A delayed message over the limit of number or time"],
  refused: ["Refused by client", "The subscriber answered with an error"],
  operator: ["Operator", "Deleted by an operator"],
  quota: ["Quota", "Over a publisher's or the node's quota"],
  invalid: ["Invalid topic", "The topic may not be published to"],
};

export function drop(name) {
  const [label, why] = drops[name] ?? [name.replaceAll("_", " "), ""];
  return { label, why };
}

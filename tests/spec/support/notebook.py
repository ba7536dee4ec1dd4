"""A front end of a notebook: python3 notebook.py PROGRAM < steps > answers

Starts the kernel through jupyter_client, with PROGRAM and a connection file of its own. Each line of standard input is a
step as JSON, and each line of the output what came of it:
  {"request": TYPE, "channel": "shell" or "control", "content": {...}, "input": [ANSWER, ...], "interrupt_at": TEXT,
   "interrupt_by": "message" or "signal", "also": [{"request": .., "content": ..}, ...]}
     -> {"reply": CONTENT or a list with those of `also`, "published": [[TYPE, CONTENT], ...]}
     published is what came until the (last) request was idle, in order, the request's own alone, streams that follow
     each other as one. interrupt_at: when a stream has that text the kernel is interrupted.
  {"raw": ...} -> {"alive": true}   a message with a wrong signature, then a heartbeat
  {"restart": true} -> {"alive": true}
"""
import json
import os
import queue
import sys
import tempfile

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

PATIENCE = 60  # seconds after which the kernel is taken for dead


class Manager(KernelManager):
    program = "perilune"

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[self.program, "kernel", "{connection_file}"], display_name="Lua", language="lua",
                          interrupt_mode="signal")


def send(client, channel, kind, content):
    message = client.session.msg(kind, content)
    getattr(client, channel + "_channel").send(message)
    return message["header"]["msg_id"]


def poll(get, seconds):
    try:
        return get(timeout=seconds)
    except queue.Empty:
        return None


def merged(published):
    out = []
    for kind, content in published:
        if kind == "stream" and out and out[-1][0] == "stream" and out[-1][1]["name"] == content["name"]:
            out[-1][1]["text"] += content["text"]
        else:
            out.append([kind, content])
    return out


def perform(manager, client, step):
    channel = step.get("channel", "shell")
    wanted = [(channel, step["request"], step.get("content", {}))]
    wanted += [("shell", other["request"], other.get("content", {})) for other in step.get("also", [])]
    ids = [send(client, *request) for request in wanted]
    published, idle, answers, stopped = [], set(), list(step.get("input", [])), False
    while len(idle) < len(ids):
        if answers:
            question = poll(client.get_stdin_msg, 0.05)
            if question:
                published.append(["input_request", question["content"]])
                client.input(answers.pop(0))
        message = poll(client.get_iopub_msg, 0.05) if answers else client.get_iopub_msg(timeout=PATIENCE)
        if message is None:
            continue
        if message["parent_header"].get("msg_id") not in ids:
            continue
        published.append([message["msg_type"], message["content"]])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            idle.add(message["parent_header"]["msg_id"])
        text = "".join(c["text"] for t, c in published if t == "stream")
        if step.get("interrupt_at") and step["interrupt_at"] in text and not stopped:
            stopped = True
            if step.get("interrupt_by") == "message":
                send(client, "control", "interrupt_request", {})
                client.get_control_msg(timeout=PATIENCE)
            else:
                manager.interrupt_kernel()
    if step["request"].startswith("comm_") and not step["request"].endswith("_request"):
        return {"reply": False, "published": merged(published)}
    replies = {}
    while len(replies) < len(ids):
        message = (client.get_control_msg if channel == "control" else client.get_shell_msg)(timeout=PATIENCE)
        if message["parent_header"]["msg_id"] in ids:
            replies[message["parent_header"]["msg_id"]] = dict(message["content"], msg_type=message["msg_type"])
    found = [replies[i] for i in ids]
    return {"reply": found if len(found) > 1 else found[0], "published": merged(published)}


def forge(client):
    key = client.session.key
    client.session.key = b"another"
    send(client, "shell", "execute_request", {"code": "os.exit(1)"})
    client.session.key = key


def main():
    os.environ["IPYTHONDIR"] = os.environ["JUPYTER_RUNTIME_DIR"] = tempfile.mkdtemp()
    manager = Manager()
    manager.program = sys.argv[1]
    manager.start_kernel(stdout=sys.stderr, stderr=sys.stderr)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    try:
        for line in sys.stdin:
            step = json.loads(line)
            if "request" in step:
                result = perform(manager, client, step)
            elif "raw" in step:
                forge(client)
                result = {"alive": manager.is_alive()}
            else:
                manager.restart_kernel(now=False)
                client.wait_for_ready(timeout=PATIENCE)
                result = {"alive": manager.is_alive()}
            print(json.dumps(result), flush=True)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
    print(json.dumps({"alive": manager.is_alive(), "beats": True}), flush=True)


main()

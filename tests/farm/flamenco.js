// SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
// SPDX-License-Identifier: GPL-3.0-or-later
// What Flamenco Manager gives a job type, as far as ours uses it; answers with the tasks as JSON.

const author = {
    Task: (name, type) => ({
        name, type, commands: [], dependencies: [],
        addCommand(command) { this.commands.push(command); },
        addDependency(task) { this.dependencies.push(task.name); },
    }),
    Command: (name, parameters) => ({ name, parameters }),
};

const path = {
    join: (...parts) => parts.join("/").replace(/\/+/g, "/"),
    stem: (file) => file.split("/").pop().replace(/\.[^.]*$/, ""),
};

// "1-7,9" in chunks of 3 is "1-3", "4-6", "7,9"; two frames beside each other are told apart, "1,2", as there.
function frameChunker(frames, size) {
    const all = [];
    for (const part of frames.split(",")) {
        const ends = part.split("-").map(Number);
        for (let frame = ends[0]; frame <= ends[ends.length - 1]; frame++) all.push(frame);
    }
    const chunks = [];
    for (let n = 0; n < all.length; n += size) {
        const chunk = all.slice(n, n + size), whole = chunk[chunk.length - 1] - chunk[0] === chunk.length - 1;
        chunks.push(whole && chunk.length > 2 ? chunk[0] + "-" + chunk[chunk.length - 1] : chunk.join(","));
    }
    return chunks;
}

function compiled(settings) {
    const tasks = [];
    for (const setting of JOB_TYPE.settings) {
        if (!(setting.key in settings)) {
            if (setting.required && !("default" in setting)) throw new Error("no " + setting.key);
            settings[setting.key] = setting.default;
        }
    }
    compileJob({ name: "job", settings, addTask: (task) => tasks.push(task) });
    return JSON.stringify({ type: JOB_TYPE, tasks });
}

// SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Flamenco 3 job type: one recording to keyed hands to frames. See docs/batch.md.
// Workers that generate and export need the extension enabled in their Blender; workers that render need Blender only.

const JOB_TYPE = {
    label: "Piano Hands",
    description: "Generate two hands that play a recording, export them, render them in chunks of frames",
    settings: [
        {
            key: "recording", type: "string", subtype: "file_path", required: true,
            description: "A recording of a piano, or a MIDI file",
        },
        {
            key: "output_folder", type: "string", subtype: "dir_path", required: true,
            description: "An existing folder for motion, .blend, FBX and frames that all workers see",
        },
        {
            key: "name", type: "string", required: false, default: "", visible: "submission",
            description: "What the files are called (default: as the recording)",
        },
        {
            key: "frames", type: "string", required: true, default: "1-250",
            description: "Frames to render, as in '1-250'. Music of S seconds has about S times the frames a second",
        },
        {
            key: "chunk_size", type: "int32", default: 50, propargs: { min: 1 }, visible: "submission",
            description: "Frames in one render task",
        },
        {
            key: "fps", type: "string", default: "30", visible: "submission",
            description: "Frames a second, 24000/1001 too",
        },
        {
            key: "seed", type: "int32", default: 0, propargs: { min: 0 }, visible: "submission",
            description: "Another seed, another performance",
        },
        {
            key: "generator", type: "string", choices: ["model", "pianist"], default: "model", visible: "submission",
            description: "Who imagines the motion: the gesture model, or the pianist",
        },
        {
            key: "style", type: "string", default: "classical", visible: "submission",
            description: "Which performer plays",
        },
        {
            key: "render_preset", type: "string", choices: ["draft", "preview", "final"], default: "preview",
            visible: "submission", description: "Engine, resolution and samples",
        },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const files = path.join(settings.output_folder, settings.name || path.stem(settings.recording));

    const generate = pianoHands("generate", [
        "--audio=" + settings.recording,
        "--seed=" + settings.seed,
        "--generator=" + settings.generator,
        "--style=" + settings.style,
        "--motion=" + files + ".npz",
    ]);
    job.addTask(generate);

    const exported = pianoHands("export", [
        "--from-motion=" + files + ".npz",
        "--audio=" + settings.recording,
        "--fps=" + settings.fps,
        "--render-preset=" + settings.render_preset,
        "--out=" + files + ".blend",
        "--fbx=" + files + ".fbx",
    ]);
    exported.addDependency(generate);
    job.addTask(exported);

    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        const render = renderTask(files, chunk);
        render.addDependency(exported);
        job.addTask(render);
    }
}

// A task that runs the extension's command in Blender, without a file.
function pianoHands(name, options) {
    const task = author.Task(name, "blender");
    task.addCommand(author.Command("exec", {
        exe: "{blender}",
        args: ["-b", "--command", "piano_hands"].concat(options),
    }));
    return task;
}

// A task that renders a chunk ("7", "1-50", or a list with commas) with plain Blender.
function renderTask(files, chunk) {
    const task = author.Task("render-" + chunk, "blender");
    const args = ["-o", path.join(files + "_frames", "######"), "-F", "PNG", "-x", "1"];
    if (chunk.indexOf(",") >= 0) {
        args.push("-f", chunk.split("-").join(".."));
    } else {
        const ends = chunk.split("-");
        args.push("-s", ends[0], "-e", ends[ends.length - 1], "-a");
    }
    task.addCommand(author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: ["-b"],
        blendfile: files + ".blend",
        args: args,
    }));
    return task;
}

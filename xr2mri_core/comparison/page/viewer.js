// Three linked planes of several volumes: truth and each method show the same point of the knee.
//
// Volumes come as PNG pictures, slice below slice (coronal, posterior to anterior); they are decoded
// when a case is chosen. The wheel scrolls the plane under the pointer in all volumes, a click moves
// the crosshair, and the sliders do the same for a keyboard. No library, no WebGL, no network.
"use strict";

const viewer = (() => {
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const root = document.getElementById("viewer");
  const planes = ["coronal", "sagittal", "axial"];
  const state = { case: 0, index: { coronal: 0, sagittal: 0, axial: 0 }, volumes: [] };
  if (!data.cases.length) return state;

  const shape = () => data.cases[state.case].shape; // slices, rows, columns
  const length = (plane) => shape()[planes.indexOf(plane) === 0 ? 0 : plane === "sagittal" ? 2 : 1];

  // One pixel of a plane: where in the volume it lies.
  const places = {
    coronal: { size: () => [shape()[2], shape()[1]], at: (u, v) => [state.index.coronal, v, u] },
    sagittal: { size: () => [shape()[0], shape()[1]], at: (u, v) => [u, v, state.index.sagittal] },
    // Anterior is up, as in every other picture of the report.
    axial: {
      size: () => [shape()[2], shape()[0]],
      at: (u, v) => [shape()[0] - 1 - v, state.index.axial, u],
    },
  };

  function draw(volume, plane) {
    const canvas = volume.canvases[plane];
    const [width, height] = places[plane].size();
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const picture = context.createImageData(width, height);
    const [, rows, columns] = shape();
    for (let v = 0; v < height; v++) {
      for (let u = 0; u < width; u++) {
        const [k, i, j] = places[plane].at(u, v);
        const grey = volume.voxels[(k * rows + i) * columns + j];
        picture.data.set([grey, grey, grey, 255], 4 * (v * width + u));
      }
    }
    context.putImageData(picture, 0, 0);
    if (document.getElementById("crosshair").checked) {
      const { coronal, sagittal, axial } = state.index;
      const cross = {
        coronal: [sagittal, axial],
        sagittal: [coronal, axial],
        axial: [sagittal, shape()[0] - 1 - coronal],
      }[plane];
      context.fillStyle = "rgba(255, 200, 0, 0.55)";
      context.fillRect(cross[0], 0, 1, height);
      context.fillRect(0, cross[1], width, 1);
    }
  }

  function drawAll() {
    for (const volume of state.volumes) {
      if (!volume.figure.hidden) for (const plane of planes) draw(volume, plane);
    }
    for (const plane of planes) {
      const slider = document.getElementById(`slider-${plane}`);
      slider.max = length(plane) - 1;
      slider.value = state.index[plane];
      document.getElementById(`label-${plane}`).textContent =
        `${plane} ${state.index[plane] + 1} of ${length(plane)}`;
    }
  }

  function move(plane, index) {
    state.index[plane] = Math.max(0, Math.min(length(plane) - 1, Math.round(index)));
    drawAll();
  }

  function listen(canvas, plane) {
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      move(plane, state.index[plane] + Math.sign(event.deltaY));
    }, { passive: false });
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const u = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
      const v = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
      const [k, i, j] = places[plane].at(u, v);
      Object.assign(state.index, { coronal: k, axial: i, sagittal: j });
      drawAll();
    });
  }

  async function decoded(source, [slices, rows, columns]) {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = slices * rows;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const voxels = new Uint8Array(slices * rows * columns);
    for (let k = 0; k < slices; k++) { // slice by slice: bounds the memory
      const colours = context.getImageData(0, k * rows, columns, rows).data;
      for (let p = 0; p < rows * columns; p++) voxels[k * rows * columns + p] = colours[4 * p];
    }
    return voxels;
  }

  async function show(number) {
    state.ready = false;
    state.case = number;
    const chosen = data.cases[number];
    const voxels = await Promise.all(chosen.volumes.map((v) => decoded(v.source, chosen.shape)));
    root.replaceChildren();
    state.volumes = chosen.volumes.map((volume, n) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = volume.title;
      figure.append(caption);
      const canvases = {};
      for (const plane of planes) {
        const canvas = document.createElement("canvas");
        canvas.id = `view-${n}-${plane}`;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${volume.title}, ${plane}`);
        const [wide, high] = chosen.millimetres[plane];
        canvas.style.width = `calc(${wide} * var(--mm))`;
        canvas.style.height = `calc(${high} * var(--mm))`;
        listen(canvas, plane);
        canvases[plane] = canvas;
        figure.append(canvas);
      }
      root.append(figure);
      return { title: volume.title, voxels: voxels[n], canvases, figure };
    });
    choose();
    for (const plane of planes) state.index[plane] = Math.floor(length(plane) / 2);
    drawAll();
    state.ready = true;
  }

  // Which volumes are shown, in whatever case: those that are not are not drawn either.
  const wanted = new Map();
  const boxes = document.getElementById("chosen");
  for (const { title } of data.cases.flatMap((one) => one.volumes)) {
    if (wanted.has(title)) continue;
    wanted.set(title, wanted.size < data.first);
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = wanted.get(title);
    box.addEventListener("change", () => { wanted.set(title, box.checked); choose(); drawAll(); });
    label.append(box, ` ${title}`);
    boxes.append(label);
  }

  function choose() {
    for (const volume of state.volumes) volume.figure.hidden = !wanted.get(volume.title);
  }

  const choice = document.getElementById("case");
  data.cases.forEach((one, n) => choice.append(new Option(one.title, n)));
  choice.addEventListener("change", () => show(Number(choice.value)));
  document.getElementById("crosshair").addEventListener("change", drawAll);
  for (const plane of planes) {
    document.getElementById(`slider-${plane}`)
      .addEventListener("input", (event) => move(plane, Number(event.target.value)));
  }
  show(0);
  return Object.assign(state, { show, move });
})();

"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
document.querySelector("main").textContent = `${report.tests.length} tests`;

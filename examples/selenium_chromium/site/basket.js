// A basket that the browser keeps, also when the page is loaded again.

let prices = {};
let basket = JSON.parse(localStorage.getItem("basket") || "[]");

function show() {
  const cents = basket.reduce((sum, thing) => sum + prices[thing], 0);
  const total = `${basket.length} things, ${(cents / 100).toFixed(2)}`;
  document.getElementById("basket").textContent = basket.length ? total : "nothing";
  localStorage.setItem("basket", JSON.stringify(basket));
}

async function open() {
  prices = await (await fetch("prices.json")).json();
  const things = document.getElementById("things");
  things.textContent = "";
  for (const thing of Object.keys(prices)) {
    const button = document.createElement("button");
    button.textContent = `Buy ${thing}`;
    button.onclick = () => { basket.push(thing); show(); };
    things.append(button);
  }
  document.getElementById("clear").onclick = () => { basket = []; show(); };
  show();
}

open();

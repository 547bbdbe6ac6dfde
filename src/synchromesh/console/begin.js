
/* --- begin ----------------------------------------------------------------------------------------- */

addEventListener("hashchange", () => { showView(); follow(); look(); });
showView();
follow();
refresh();
lookOn();

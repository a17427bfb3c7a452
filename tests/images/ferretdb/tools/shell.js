"use strict";
// int32 and double are numbers, as in the real shell; all else stays in its extended form.
var _revive = (key, value) => {
	if (value && typeof value === "object") {
		if ("$numberInt" in value) return Number(value.$numberInt);
		if ("$numberDouble" in value) return Number(value.$numberDouble);
	}
	return value;
};
var _canonical = (value) => {
	if (typeof value === "number") {
		if (Number.isInteger(value) && Math.abs(value) < 2147483648) return { $numberInt: String(value) };
		return { $numberDouble: Number.isInteger(value) ? value + ".0" : String(value) };
	}
	if (Array.isArray(value)) return value.map(_canonical);
	if (value && typeof value === "object") {
		const copy = {};
		for (const key of Object.keys(value)) copy[key] = _canonical(value[key]);
		return copy;
	}
	return value;
};
var EJSON = {
	stringify: (value, options) => JSON.stringify(options && options.relaxed === false ? _canonical(value) : value),
};
class Cursor {
	constructor(collection, command) {
		this.collection = collection;
		this.command = command;
	}
	sort(by) {
		this.command.sort = by;
		return this;
	}
	forEach(call) {
		const database = this.collection.database;
		let reply = database.runCommand(this.command).cursor, batch = reply.firstBatch;
		for (;;) {
			batch.forEach(call);
			if (Number(reply.id.$numberLong) === 0) return;
			reply = database.runCommand({ getMore: reply.id, collection: this.collection.name }).cursor;
			batch = reply.nextBatch;
		}
	}
	toArray() {
		const all = [];
		this.forEach((one) => all.push(one));
		return all;
	}
}
class Collection {
	constructor(database, name) {
		this.database = database;
		this.name = name;
	}
	find(filter) {
		return new Cursor(this, { find: this.name, filter: filter || {} });
	}
	countDocuments(filter) {
		return this.database.runCommand({ count: this.name, query: filter || {} }).n;
	}
	insertMany(documents) {
		const reply = this.database.runCommand({ insert: this.name, documents: documents });
		if (reply.writeErrors) throw new Error(reply.writeErrors[0].errmsg);
		return reply;
	}
	updateMany(filter, update) {
		return this.database.runCommand({ update: this.name, updates: [{ q: filter, u: update, multi: true }] });
	}
	getIndexes() {
		return new Cursor(this, { listIndexes: this.name }).toArray();
	}
	createIndex(key, options) {
		const name = Object.keys(key).map((field) => field + "_" + key[field]).join("_");
		const index = Object.assign({ key: key, name: name }, options);
		return this.database.runCommand({ createIndexes: this.name, indexes: [index] });
	}
}
class Database {
	constructor(name) {
		this.name = name;
	}
	getName() {
		return this.name;
	}
	runCommand(command) {
		return JSON.parse(_run(this.name, JSON.stringify(command)), _revive);
	}
	adminCommand(command) {
		return new Database("admin").runCommand(command);
	}
	getSiblingDB(name) {
		return new Database(name);
	}
	getCollection(name) {
		return new Collection(this, name);
	}
	auth(user, password) {
		_login(user, password, this.name);
		return { ok: 1 };
	}
}
var db = new Database(_database);

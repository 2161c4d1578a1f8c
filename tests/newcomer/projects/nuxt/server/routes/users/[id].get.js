export default defineEventHandler((event) => user(getRouterParam(event, "id")));
